terraform {
  required_version = ">= 1.6"

  required_providers {
    aws = {
      source = "hashicorp/aws"
      # 6.x changed how a global secondary index is compared; untested here.
      version = ">= 5.60, < 6.0"
    }
  }
}
