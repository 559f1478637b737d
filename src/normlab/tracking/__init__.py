"""What a run says to MLflow."""
