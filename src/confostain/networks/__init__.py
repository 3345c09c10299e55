"""Network architectures (PyTorch modules): despecklers, generators, discriminator. No files, no slides."""
