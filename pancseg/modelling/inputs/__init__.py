"""Tables of features and of clinical variables → what a model is fitted to."""
