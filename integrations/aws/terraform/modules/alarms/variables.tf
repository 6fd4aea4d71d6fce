variable "name" {
  description = "What the names of the alarms begin with."
  type        = string
}

variable "topic_arns" {
  description = "SNS topics that are told when an alarm goes off, and when it is over."
  type        = list(string)
}

variable "dead_letter_names" {
  description = "Queues that should be empty, by what they hold."
  type        = map(string)
}

variable "function_names" {
  description = "Every function, by a short name."
  type        = map(string)
}

variable "stream_function_name" {
  description = "The function that reads the ledger's stream."
  type        = string
}

variable "tables" {
  description = "By a short name: the table, and the operations that are called on it."
  type        = map(object({ name = string, operations = list(string) }))
}

variable "ledger_table" {
  description = "The ledger table."
  type        = string
}

variable "api_id" {
  description = "The API."
  type        = string
}

variable "thresholds" {
  description = "Above which value an alarm goes off: age of the stream in ms, and repeated writes in five minutes."
  type        = object({ iterator_age_ms = number, repeated_writes = number })
}
