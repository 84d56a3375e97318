"""ZeroAIR: blind restoration of one image by guiding a frozen diffusion model, without any training data."""
