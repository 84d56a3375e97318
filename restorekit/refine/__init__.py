"""PTG-RM: a small module that refines the result of any restorer with what a frozen pretrained network saw.

Xu, Kong, Hu, Liu, Bao 2024, "Boosting Image Restoration via Priors from Pre-trained Models" (CVPR, arXiv:2403.06793).
"""
