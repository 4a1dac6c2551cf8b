"""The stores: the catalog that says what is current, and what opens it, lazily and labelled."""
