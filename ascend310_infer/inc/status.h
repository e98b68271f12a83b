// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
#ifndef ASCEND310_INFER_INC_STATUS_H_
#define ASCEND310_INFER_INC_STATUS_H_

#include <optional>
#include <string>
#include <utility>

namespace centernet {

// Success, or one sentence for the user: what is wrong, where, and what to do about it.
class [[nodiscard]] Status {
 public:
  static Status Ok() { return Status(""); }
  // REQUIRES: !message.empty().
  static Status Error(std::string message) { return Status(std::move(message)); }

  bool ok() const { return message_.empty(); }

  // REQUIRES: !ok().
  const std::string& message() const { return message_; }

 private:
  explicit Status(std::string message) : message_(std::move(message)) {}

  std::string message_;  // Empty: success.
};

// A value, or the error that kept it from being made.
template <typename T>
class [[nodiscard]] Result {
 public:
  // Both are implicit, so that a function can return either.
  // NOLINTBEGIN(misc-explicit-constructor)
  Result(T value) : status_(Status::Ok()), value_(std::move(value)) {}
  // REQUIRES: !status.ok().
  Result(Status status) : status_(std::move(status)) {}
  // NOLINTEND(misc-explicit-constructor)

  bool ok() const { return status_.ok(); }
  const Status& status() const { return status_; }

  // REQUIRES: ok().
  T& value() { return *value_; }  // NOLINT(bugprone-unchecked-optional-access)

 private:
  Status status_;
  std::optional<T> value_;
};

}  // namespace centernet

#endif  // ASCEND310_INFER_INC_STATUS_H_
