"""Executors: where tasks are done. One file each, all with the methods of `base.Executor`."""
