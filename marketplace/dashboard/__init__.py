"""Render the pages a customer, a provider and the public look at in a browser."""
