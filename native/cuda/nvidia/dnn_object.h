// One of cuDNN's descriptors.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cuda/driver.h"
#include "cuda/nvidia/cudnn.h"

namespace slim::cuda::nvidia {

// Throws DriverError: "cudnnBackendFinalize: CUDNN_STATUS_NOT_SUPPORTED".
inline void require_dnn(const DnnApi& api, const char* call, Result result) {
  if (result == 0) return;
  const char* words = api.cudnnGetErrorString(result);
  throw DriverError(std::string(call) + ": " +
                    (words != nullptr ? words : "status " + std::to_string(result)));
}

// What it is made of must live as long as it is used. All throw DriverError.
class DnnDescriptor {
 public:
  DnnDescriptor(const DnnApi& api, DnnKind kind) : api_(&api) {
    require_dnn(api, "cudnnBackendCreateDescriptor",
                api.cudnnBackendCreateDescriptor(kind, &object_));
  }
  DnnDescriptor(DnnDescriptor&& other) noexcept
      : api_(other.api_), object_(std::exchange(other.object_, nullptr)) {}
  DnnDescriptor& operator=(DnnDescriptor&&) = delete;
  ~DnnDescriptor() {
    if (object_ != nullptr) api_->cudnnBackendDestroyDescriptor(object_);
  }

  DnnObject object() const { return object_; }

  template <class T>
  void set(DnnAttribute attribute, DnnType type, const std::vector<T>& values) {
    require_dnn(*api_, "cudnnBackendSetAttribute",
                api_->cudnnBackendSetAttribute(object_, attribute, type,
                                               static_cast<int64_t>(values.size()), values.data()));
  }
  template <class T>
  void set(DnnAttribute attribute, DnnType type, const T& value) {
    require_dnn(*api_, "cudnnBackendSetAttribute",
                api_->cudnnBackendSetAttribute(object_, attribute, type, 1, &value));
  }
  void set(DnnAttribute attribute, const DnnDescriptor& other) {
    set(attribute, DnnType::object, other.object_);
  }
  void finish() { require_dnn(*api_, "cudnnBackendFinalize", api_->cudnnBackendFinalize(object_)); }
  // How many of an attribute's values there are; so many of them at most are put to `values`.
  int64_t get(DnnAttribute attribute, DnnType type, int64_t wanted, void* values) const {
    int64_t count = 0;
    require_dnn(*api_, "cudnnBackendGetAttribute",
                api_->cudnnBackendGetAttribute(object_, attribute, type, wanted, &count, values));
    return count;
  }

 private:
  const DnnApi* api_;
  DnnObject object_ = nullptr;
};

}  // namespace slim::cuda::nvidia
