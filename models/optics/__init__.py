"""What lies between the part and the pixels: scale and calibration, and whether an image is fit to be judged."""
