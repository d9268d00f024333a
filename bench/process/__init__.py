"""State of a process that all its runs share: device, loaded data, memory, stop signal."""
