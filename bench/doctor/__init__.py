"""Whether this machine is ready for runs: the checks behind `bench doctor`."""
