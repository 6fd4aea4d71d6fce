variable "name" {
  description = "What the names of the schedules begin with."
  type        = string
}

variable "schedules" {
  description = "By name: when (an expression of EventBridge Scheduler, in UTC) and which function."
  type        = map(object({ when = string, function_arn = string }))
}
