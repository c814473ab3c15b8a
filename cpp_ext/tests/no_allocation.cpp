// Once they run, the output thread and the audio callbacks allocate nothing and give nothing back: every
// malloc and free of the process is counted while they work (glibc lets a program replace them).
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "capture.hpp"
#include "check.hpp"
#include "clock.hpp"
#include "output_thread.hpp"
#include "playback.hpp"

extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* memory, std::size_t size);
void __libc_free(void* memory);
}

namespace {
std::atomic<std::uint64_t> calls{0};
}

extern "C" {
void* malloc(std::size_t size) {
    calls.fetch_add(1);
    return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) {
    calls.fetch_add(1);
    return __libc_calloc(count, size);
}
void* realloc(void* memory, std::size_t size) {
    calls.fetch_add(1);
    return __libc_realloc(memory, size);
}
void free(void* memory) {
    calls.fetch_add(1);
    __libc_free(memory);
}
}

using namespace bailando;

namespace {

constexpr std::int64_t kPeriodNs = 1'000'000;
constexpr OutputTiming kTiming{kPeriodNs, kPeriodNs, 10'000'000'000};

void the_count_counts() {
    const std::uint64_t before = calls.load();
    { const std::vector<int> some(100); }
    CHECK(calls.load() == before + 2);
}

void wait_for_frames(const OutputThread& output, std::uint64_t frames) {
    while (output.counters().frames.load() < frames) DeadlineSleeper().until(now_ns() + kPeriodNs);
}

void output_thread_allocates_nothing() {
    OutputThread output(2, 64, kTiming);
    const std::vector<std::uint8_t> packet(8);
    output.add_output({PacketTemplate(packet, {{0, FieldKind::kFrame, 0}, {4, FieldKind::kFloat, 0}}, 60.0)},
                      "127.0.0.1", 9, 0);
    output.start();
    const float values[2] = {0.0F, 1.0F};
    const std::int64_t origin_ns = now_ns() + kPeriodNs;
    CHECK(output.push(0, origin_ns, values));
    wait_for_frames(output, 1);
    const std::uint64_t before = calls.load();
    for (std::int64_t number = 1; number < 60; ++number) {
        CHECK(output.push(number, origin_ns + number * kPeriodNs, values));
    }
    wait_for_frames(output, 120);  // half of them repeated, because none is queued
    CHECK(output.counters().underruns.load() > 0);
    CHECK(calls.load() == before);
    output.stop();
}

void callbacks_allocate_nothing() {
    SampleRing heard(1000, 2);
    SampleRing played(1000, 1);
    Capture capture(heard, 8);
    Playback playback(played, 48000.0, 2);
    playback.set_base_ns(now_ns());
    std::vector<float> block(2 * 480, 0.5F);
    const pa::TimeInfo time{1.0, 1.0, 1.0};
    const std::uint64_t before = calls.load();
    for (int i = 0; i < 1000; ++i) {  // both rings run full and empty
        CHECK(Capture::callback(block.data(), nullptr, 480, &time, 2, &capture) == 0);
        CHECK(Playback::callback(nullptr, block.data(), 480, &time, 0, &playback) == 0);
    }
    CHECK(heard.overruns() > 0);
    CHECK(calls.load() == before);
}

}  // namespace

int main() {
    the_count_counts();
    output_thread_allocates_nothing();
    callbacks_allocate_nothing();
    return 0;
}
