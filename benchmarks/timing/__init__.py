"""What `benchmarks/speed.py` is made of: rates of the machine, counts of work, kernels, paths, sweeps, pages."""
