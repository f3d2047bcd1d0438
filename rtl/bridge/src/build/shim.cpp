// The way into a Verilated design, by C calls. hwpool-rtl writes the table of ports below and compiles this beside it.
// The other side is src/model.rs; ABI counts its changes.

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "Vdesign.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_fst_c.h"
#include "verilated_syms.h"
#endif

namespace {

constexpr uint32_t ABI = 1;

// A port: its name, where its value lies, how wide it is, and who drives it.
struct Port {
    const char* name;
    void* data;
    uint32_t bits;
    uint32_t is_input;
};

// What ends a design from within: it can't go on after that.
struct Ended {
    std::string why;
};

struct Model {
    VerilatedContext context;
    std::unique_ptr<Vdesign> design;
    std::string ended;
    Port ports[@COUNT@ + 1];
#if VM_TRACE
    VerilatedFstC fst;
    bool is_open = false;
    void* host[4] = {};
#endif
};

// Makes the model's context that of this thread. Else what a design says is counted in the context that was made last,
// which may be another design's, and gone.
void enter(Model& model) { Verilated::threadContextp(&model.context); }

void fill(Model& model) {
    Vdesign& d = *model.design;
    (void)d;
    Port* at = model.ports;
@PORTS@    *at = {nullptr, nullptr, 0, 0};
}

std::string place(const char* file, int line, const char* scope) {
    std::string text = file && *file ? std::string{file} + ":" + std::to_string(line) : "";
    if (scope && *scope) text += std::string{text.empty() ? "" : " "} + "in " + scope;
    return text;
}

}  // namespace

// Verilator's own would end the process.
void vl_finish(const char* file, int line, const char* scope) {
    throw Ended{"it called $finish at " + place(file, line, scope)};
}
void vl_stop(const char* file, int line, const char* scope) {
    throw Ended{"it called $stop, or an assertion failed, at " + place(file, line, scope)};
}
void vl_fatal(const char* file, int line, const char* scope, const char* message) {
    throw Ended{std::string{message ? message : "a fatal error"} + " at " + place(file, line, scope)};
}

extern "C" {

uint32_t hwpool_rtl_abi() { return ABI; }

// `reset` is Verilator's randReset: 0 all zeros, 2 random by `seed`.
Model* hwpool_rtl_new(int reset, int seed, uint32_t threads) {
    try {
        auto model = std::make_unique<Model>();
        // Left alone, it makes one for every processor, which then idle.
        model->context.threads(threads);
        model->context.randReset(reset);
        if (seed) model->context.randSeed(seed);
#if VM_TRACE
        model->context.traceEverOn(true);
#endif
        model->design = std::make_unique<Vdesign>(&model->context);
        fill(*model);
#if VM_TRACE
        static const char* const NAMES[4] = {"kind", "bar", "address", "data"};
        const VerilatedScope* scope = model->context.scopeFind("TOP.@TOP@.host");
        for (int i = 0; scope && i < 4; ++i)
            if (VerilatedVar* found = scope->varFind(NAMES[i])) model->host[i] = found->datap();
#endif
        return model.release();
    } catch (...) {
        return nullptr;
    }
}

void hwpool_rtl_delete(Model* model) {
    enter(*model);
    delete model;
}

const Port* hwpool_rtl_ports(Model* model) { return model->ports; }

// Settles the design; 0, or -1 where it has ended, which hwpool_rtl_ended tells about.
int hwpool_rtl_eval(Model* model, uint64_t time) {
    enter(*model);
    try {
        model->context.time(time);
        model->design->eval();
#if VM_TRACE
        if (model->is_open) model->fst.dump(time);
#endif
        return 0;
    } catch (const Ended& ended) {
        model->ended = ended.why;
    } catch (...) {
        model->ended = "a C++ exception left it";
    }
    return -1;
}

const char* hwpool_rtl_ended(Model* model) { return model->ended.c_str(); }

// 0, or -1 where the file can't be written or the design was built without.
int hwpool_rtl_trace_open(Model* model, const char* path) {
#if VM_TRACE
    enter(*model);
    try {
        model->design->trace(&model->fst, 99);
        model->fst.open(path);
        model->is_open = model->fst.isOpen();
        return model->is_open ? 0 : -1;
    } catch (...) {
        return -1;
    }
#else
    (void)model, (void)path;
    return -1;
#endif
}

void hwpool_rtl_trace_close(Model* model) {
#if VM_TRACE
    enter(*model);
    if (model->is_open) model->fst.close();
    model->is_open = false;
#else
    (void)model;
#endif
}

// Shows an access of the host's in the waveform.
void hwpool_rtl_host(Model* model, uint8_t kind, uint8_t bar, uint64_t address, uint64_t data) {
#if VM_TRACE
    if (model->host[0]) *static_cast<CData*>(model->host[0]) = kind;
    if (model->host[1]) *static_cast<CData*>(model->host[1]) = bar;
    if (model->host[2]) *static_cast<QData*>(model->host[2]) = address;
    if (model->host[3]) *static_cast<QData*>(model->host[3]) = data;
#else
    (void)model, (void)kind, (void)bar, (void)address, (void)data;
#endif
}

}  // extern "C"
