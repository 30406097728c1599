"""One sample's bias: start sites → calibrated models → weights, corrected counts and the QC document."""
