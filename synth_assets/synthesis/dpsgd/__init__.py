"""Neural synthesizers trained by DP-SGD: a variational autoencoder (dp_tvae), a GAN (dp_ctgan)."""
