"""The proposed model, and the equations and networks that every method shares."""
