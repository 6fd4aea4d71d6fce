"""The Lambda functions: each names its parts, and `costtrace.aws` does the work. Copy them and make them yours."""
