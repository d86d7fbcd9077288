"""What is an app made of? Its settings, the engine that they open, its plugins, and the methods that users call."""
