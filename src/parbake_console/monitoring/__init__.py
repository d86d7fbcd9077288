"""What does Prometheus see of an app, and when does it call somebody? Gauges, alerting rules and a dashboard."""
