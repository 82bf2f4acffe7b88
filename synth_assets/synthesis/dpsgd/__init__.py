"""Neural synthesizers trained by DP-SGD: a variational autoencoder (dp_tvae)."""
