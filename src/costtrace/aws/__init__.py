"""What runs on AWS Lambda: the work behind each function of ``integrations/aws/handlers``.

A function is a service of this package and a few lines that name its parts. `costtrace.aws.runtime` makes the parts
from the environment when the function is initialised, `costtrace.aws.invocation` stands around every call of it.
"""
