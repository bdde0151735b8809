"""What the gateway benchmark is made of: a load generator, a mock engine, our gateway, and its peers."""
