"""The autograd graph and its engine: knows no array and no kernel."""
