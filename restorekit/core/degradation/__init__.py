"""Degradations: noise, blur, rain, haze, low light, JPEG, resampling, and texts that combine them."""
