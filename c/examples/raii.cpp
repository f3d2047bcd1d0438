// hwpool in C++20: handles that close themselves, and errors that are thrown. The wrapper is this screen; copy it.
#include <array>
#include <cstdio>
#include <memory>
#include <span>
#include <stdexcept>
#include <vector>

#include <hwpool.h>

namespace hw {

inline bool done(int status)
{
    if (status < 0)
        throw std::runtime_error(hwpool_last_error());
    return status == HWPOOL_OK;
}

template <auto Close> struct Closes {
    void operator()(auto *handle) const { Close(handle); }
};

inline int close_pool(hwpool_pool *pool) { return hwpool_pool_close(pool, nullptr, 0); }

using Device = std::unique_ptr<hwpool_device, Closes<hwpool_device_close>>;
using Pool = std::unique_ptr<hwpool_pool, Closes<close_pool>>;

inline Device open(const char *address)
{
    hwpool_device *device = nullptr;
    done(hwpool_device_open(address, &device));
    return Device(device);
}

inline Pool create(const hwpool_pool_options &options)
{
    hwpool_pool *pool = nullptr;
    done(hwpool_pool_create(&options, sizeof options, &pool));
    return Pool(pool);
}

// Of this thread, while it lives.
class Worker {
    std::unique_ptr<hwpool_worker, Closes<hwpool_worker_detach>> worker;

public:
    Worker(const Pool &pool, const char *name)
    {
        hwpool_worker *attached = nullptr;
        done(hwpool_worker_attach(pool.get(), name, &attached));
        worker.reset(attached);
    }
    // Fills all of it, or nothing: false.
    bool take(std::span<void *> objects) { return done(hwpool_take_many(worker.get(), objects.data(), objects.size())); }
    void give(std::span<void *const> objects) { done(hwpool_give_many(worker.get(), objects.data(), objects.size())); }
};

} // namespace hw

int main(int argc, char **argv)
try {
    const auto device = hw::open(argc > 1 ? argv[1] : "sim:bmu");
    auto pool = hw::create({.name = "packets", .backend = nullptr, .device = device.get(), .objects = 1024, .size = 2048, .align = 0,
                            .cache = 0, .pages = HWPOOL_PAGES_ANY, .node = 0, .flags = HWPOOL_CHECKED, .reserved = 0});
    {
        hw::Worker worker(pool, "main");
        std::array<void *, 32> burst;
        if (!worker.take(burst))
            return 1;
        worker.give(burst);
        std::vector<void *> too_many(2000);
        std::printf("2000 of 1024: %s\n", worker.take(too_many) ? "taken" : "not there");
        try {
            worker.give(burst);
        } catch (const std::runtime_error &error) {
            std::printf("given twice: %s\n", error.what());
        }
    }
    return hw::close_pool(pool.release()) == HWPOOL_OK ? 0 : 1;
} catch (const std::runtime_error &error) {
    std::fprintf(stderr, "raii: %s\n", error.what());
    return 1;
}
