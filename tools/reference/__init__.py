"""PyTorch side of vascx-rs: the networks and the release format that fixtures and demo models use."""
