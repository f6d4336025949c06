"""What `ExecutorStrategy` starts: messages go to an executor and back, and rows wait for them."""
