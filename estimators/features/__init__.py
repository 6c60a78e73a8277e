"""Feature columns: what columns of a table mean, in TF.Learn's words."""
