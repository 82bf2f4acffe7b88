"""The counts behind the pictures of an audit, and what a reader may see of them."""
