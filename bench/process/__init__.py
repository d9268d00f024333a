"""What a process brings to its runs: device, loaded data, threads, memory, the request to stop."""
