// Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
//
// What of CANN has to do more than return 0, so that MindSpore's Ascend back end loads and
// compiles.
//
// While it loads, the back end registers some thousand operators of the graph engine (GE): objects
// of GE's classes, which have to be as large as it expects (each holds one shared pointer) and have
// the members that it calls. Of an operator little is kept, of all else nothing. In MindSpore's dry
// run nothing is launched, so the runtime has no work but memory. stand_in.py generates what is not
// here, and compiles this with the old std::string, as MindSpore and CANN are.

#include <dlfcn.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <vector>

// A member or function that other libraries call: emitted although nothing here calls it.
#define CALLED __attribute__((used, visibility("default")))

namespace ge {

class AscendString {
 public:
  CALLED AscendString(const char* text)
      : text_(text != nullptr ? std::make_shared<std::string>(text) : nullptr) {}
  CALLED const char* GetString() const { return text_ ? text_->c_str() : ""; }
  CALLED bool operator<(const AscendString& other) const {
    return std::string(GetString()) < other.GetString();
  }

 private:
  std::shared_ptr<std::string> text_;
};

// Takes the error codes that libraries register when they load.
class StatusFactory {
 public:
  CALLED static StatusFactory* Instance() {
    static StatusFactory factory;
    return &factory;
  }
  CALLED void RegisterErrorNo(uint32_t, const std::string&) {}

 private:
  std::map<uint32_t, std::string> texts_;  // code inlined in the back end writes into it
  char room_[4096] = {};                   // and perhaps behind it
};

// ---- values that are never looked into ----------------------------------------------------------

enum DataType : int {};
enum Format : int {};

struct Empty {
  std::shared_ptr<int> impl_;
};

class TensorType : Empty {
 public:
  CALLED TensorType(const std::initializer_list<DataType>&) {}
};

class Promote : Empty {
 public:
  CALLED Promote(const std::initializer_list<const char*>&) {}
};

class Shape : Empty {
 public:
  CALLED Shape() {}
  CALLED Shape(const std::vector<int64_t>&) {}
  CALLED size_t GetDimNum() const { return 0; }
  CALLED int64_t GetDim(size_t) const { return 0; }
  CALLED std::vector<int64_t> GetDims() const { return {}; }
};

class TensorDesc : Empty {
 public:
  CALLED TensorDesc() {}
  CALLED TensorDesc(Shape, Format, DataType) {}
  CALLED TensorDesc(const TensorDesc&) : Empty() {}
  CALLED TensorDesc(TensorDesc&&) {}
  CALLED Shape GetShape() const { return {}; }
  CALLED Shape GetOriginShape() const { return {}; }
};

class Tensor : Empty {
 public:
  CALLED Tensor() {}
  CALLED Tensor(const TensorDesc&) {}
  CALLED Tensor(const TensorDesc&, const uint8_t*, size_t) {}
  CALLED TensorDesc GetTensorDesc() const { return {}; }
};

class GNode : Empty {};

class Graph : Empty {
 public:
  CALLED Graph(const char*) {}
  CALLED Graph(const std::string&) {}
  CALLED std::vector<GNode> GetDirectNode() const { return {}; }
};

class GraphBuffer : Empty {
 public:
  CALLED GraphBuffer() {}
  CALLED ~GraphBuffer() {}
};

// ---- operators ----------------------------------------------------------------------------------

// What MindSpore asks an operator for again. By the numbers it sorts the inputs of a graph.
struct Facts {
  std::string name, type;
  std::map<std::string, uint32_t> dynamic_outputs;
  std::map<std::string, int64_t> numbers;
};

class Operator {
 public:
  CALLED Operator(const char* type) : Operator("", type) {}
  CALLED Operator(const std::string& type) : Operator(std::string(), type) {}
  CALLED Operator(const char* name, const char* type)
      : Operator(AscendString(name), AscendString(type)) {}
  CALLED Operator(const AscendString& name, const AscendString& type)
      : Operator(std::string(name.GetString()), std::string(type.GetString())) {}
  // DRY_RUN_PRINT_GE=1 prints each operator: of a graph that goes to GE as a whole (910A), there is
  // no other list.
  CALLED Operator(const std::string& name, const std::string& type)
      : facts_(std::make_shared<Facts>(Facts{name, type, {}, {}})) {
    static const bool prints = std::getenv("DRY_RUN_PRINT_GE") != nullptr;
    if (prints && !name.empty()) std::fprintf(stderr, "GE operator %s\n", type.c_str());
  }
  CALLED virtual ~Operator() {}

  CALLED std::string GetName() const { return facts_->name; }
  CALLED std::string GetOpType() const { return facts_->type; }
  CALLED uint32_t GetName(AscendString& name) const {
    name = AscendString(facts_->name.c_str());
    return 0;
  }
  CALLED uint32_t GetOpType(AscendString& type) const {
    type = AscendString(facts_->type.c_str());
    return 0;
  }
  CALLED TensorDesc GetOutputDesc(const std::string&) const { return {}; }
  CALLED TensorDesc GetOutputDesc(uint32_t) const { return {}; }

  CALLED void DynamicOutputRegister(const char* name, uint32_t count, bool) {
    facts_->dynamic_outputs[name] = count;
  }
  CALLED void DynamicOutputRegister(const char* name, uint32_t count, const char*, bool) {
    facts_->dynamic_outputs[name] = count;
  }
  CALLED int GetDynamicOutputNum(const std::string& name) const {
    const auto found = facts_->dynamic_outputs.find(name);
    return found == facts_->dynamic_outputs.end() ? 0 : static_cast<int>(found->second);
  }

  CALLED Operator& SetAttr(const char* name, int64_t value) {
    facts_->numbers[name] = value;
    return *this;
  }
  CALLED Operator& SetAttr(const char* name, int32_t value) {
    return SetAttr(name, static_cast<int64_t>(value));
  }
  CALLED uint32_t GetAttr(const char* name, int64_t& value) const { return Number(name, &value); }
  CALLED uint32_t GetAttr(const char* name, int32_t& value) const { return Number(name, &value); }

 private:
  template <typename T>
  uint32_t Number(const char* name, T* value) const {
    const auto found = facts_->numbers.find(name);
    *value = found == facts_->numbers.end() ? 0 : static_cast<T>(found->second);
    return 0;
  }

  std::shared_ptr<Facts> facts_;
};

class OperatorFactory {
 public:
  CALLED static bool IsExistOp(const char*) { return true; }
  CALLED static bool IsExistOp(const std::string&) { return true; }
  CALLED static Operator CreateOperator(const char* name, const char* type) { return {name, type}; }
  CALLED static Operator CreateOperator(const std::string& name, const std::string& type) {
    return {name, type};
  }
};

// Objects whose construction would enter a function into a table of GE's.
class OperatorCreatorRegister {
 public:
  CALLED OperatorCreatorRegister(const char*, const std::function<Operator(const AscendString&)>&) {
  }
  CALLED OperatorCreatorRegister(const std::string&,
                                 const std::function<Operator(const std::string&)>&) {}
};

class InferShapeFuncRegister {
 public:
  CALLED InferShapeFuncRegister(const std::string&, const std::function<uint32_t(Operator&)>&) {}
};

}  // namespace ge

extern "C" {

// ---- the runtime: memory is the host's ----------------------------------------------------------

CALLED int aclrtMalloc(void** pointer, size_t size, int) {
  *pointer = std::malloc(size);
  return 0;
}
CALLED int aclrtFree(void* pointer) {
  std::free(pointer);
  return 0;
}
CALLED int aclrtMallocHost(void** pointer, size_t size) {
  *pointer = std::malloc(size);
  return 0;
}
CALLED int aclrtFreeHost(void* pointer) {
  std::free(pointer);
  return 0;
}
CALLED const char* aclrtGetSocName() { return std::getenv("DRY_RUN_CHIP"); }

// ---- where MindSpore's dry run should do otherwise ----------------------------------------------

// These are MindSpore's own functions; this library is loaded first, so they are found here.

// Threads wait in this for reports, in a loop that keeps a CPU busy if it returns at once.
CALLED int ProcessReport(int milliseconds) __asm__(
    "_ZN9mindspore6device6ascend27SimuFuncIaclrtProcessReportIiEET_i");
int ProcessReport(int milliseconds) {
  usleep(1000 * (milliseconds > 0 ? milliseconds : 1));
  return 0;
}

// Calls MindSpore's own setter of a text with the value of an environment variable.
static void SetFrom(const char* variable, const char* setter, void* context) {
  void* core = dlopen("libmindspore_core.so", RTLD_NOLOAD | RTLD_LAZY);
  const auto set = reinterpret_cast<void (*)(void*, const std::string&)>(dlsym(core, setter));
  set(context, ge::AscendString(std::getenv(variable)).GetString());
}

// A dry run has "" for the name of the chip and for MindSpore's version of it.
#define SET_NAME "_ZN9mindspore9MsContext19set_ascend_soc_nameERKSs"
#define SET_VERSION "_ZN9mindspore9MsContext22set_ascend_soc_versionERKSs"

CALLED void SetChipName(void* context, const std::string& name) __asm__(SET_NAME);
void SetChipName(void* context, const std::string&) { SetFrom("DRY_RUN_CHIP", SET_NAME, context); }
CALLED void SetChipVersion(void* context, const std::string& name) __asm__(SET_VERSION);
void SetChipVersion(void* context, const std::string&) {
  SetFrom("DRY_RUN_CHIP_VERSION", SET_VERSION, context);
}

}  // extern "C"
