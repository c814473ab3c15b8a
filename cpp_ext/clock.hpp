// The monotonic clock of all deadlines, sleeping until a deadline, and real-time priority.
#pragma once

#include <cstdint>

#if defined(_WIN32)
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#elif defined(__APPLE__)
#include <mach/mach.h>
#include <mach/mach_time.h>
#include <mach/thread_policy.h>
#include <pthread.h>
#include <signal.h>
#else
#include <cerrno>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>
#endif

namespace bailando {

#if defined(_WIN32)

// Any thread. Nanoseconds of the monotonic clock.
inline std::int64_t now_ns() noexcept {
    static const std::int64_t frequency = [] {
        LARGE_INTEGER ticks;
        QueryPerformanceFrequency(&ticks);
        return ticks.QuadPart;
    }();
    LARGE_INTEGER counter;
    QueryPerformanceCounter(&counter);
    const std::int64_t seconds = counter.QuadPart / frequency;
    return seconds * 1'000'000'000 + (counter.QuadPart % frequency) * 1'000'000'000 / frequency;
}

// The output thread's means to sleep until an absolute time.
class DeadlineSleeper {
   public:
    DeadlineSleeper() noexcept
        : timer_(CreateWaitableTimerExW(nullptr, nullptr, 0x2 /* high resolution */, TIMER_ALL_ACCESS)) {
        if (timer_ == nullptr) timer_ = CreateWaitableTimerW(nullptr, TRUE, nullptr);
    }
    ~DeadlineSleeper() {
        if (timer_ != nullptr) CloseHandle(timer_);
    }
    DeadlineSleeper(const DeadlineSleeper&) = delete;
    DeadlineSleeper& operator=(const DeadlineSleeper&) = delete;

    void until(std::int64_t deadline_ns) noexcept {
        for (std::int64_t left = deadline_ns - now_ns(); left > 0; left = deadline_ns - now_ns()) {
            LARGE_INTEGER due;
            due.QuadPart = left < 100 ? -1 : -(left / 100);  // relative, in units of 100 ns
            if (timer_ == nullptr || !SetWaitableTimer(timer_, &due, 0, nullptr, nullptr, FALSE)) {
                Sleep(1);
            } else {
                WaitForSingleObject(timer_, INFINITE);
            }
        }
    }

   private:
    HANDLE timer_;
};

// The calling thread. Whether the system granted real-time priority.
inline bool request_realtime_priority() noexcept {
    return SetThreadPriority(GetCurrentThread(), THREAD_PRIORITY_TIME_CRITICAL) != 0;
}

#elif defined(__APPLE__)

inline mach_timebase_info_data_t mach_timebase() noexcept {
    static const mach_timebase_info_data_t timebase = [] {
        mach_timebase_info_data_t info;
        mach_timebase_info(&info);
        return info;
    }();
    return timebase;
}

// a * b / c without overflow for b, c of 32 bits.
inline std::uint64_t scaled(std::uint64_t a, std::uint32_t b, std::uint32_t c) noexcept {
    return a / c * b + a % c * b / c;
}

inline std::int64_t now_ns() noexcept {
    const auto timebase = mach_timebase();
    return static_cast<std::int64_t>(scaled(mach_absolute_time(), timebase.numer, timebase.denom));
}

class DeadlineSleeper {
   public:
    void until(std::int64_t deadline_ns) noexcept {
        const auto timebase = mach_timebase();
        if (deadline_ns > 0) {
            mach_wait_until(scaled(static_cast<std::uint64_t>(deadline_ns), timebase.denom, timebase.numer));
        }
    }
};

inline bool request_realtime_priority() noexcept {
    const auto timebase = mach_timebase();
    const auto ticks = [&](std::uint64_t ns) {
        return static_cast<std::uint32_t>(scaled(ns, timebase.denom, timebase.numer));
    };
    thread_time_constraint_policy_data_t policy{ticks(16'666'667), ticks(500'000), ticks(2'000'000), 1};
    return thread_policy_set(pthread_mach_thread_np(pthread_self()), THREAD_TIME_CONSTRAINT_POLICY,
                             reinterpret_cast<thread_policy_t>(&policy),
                             THREAD_TIME_CONSTRAINT_POLICY_COUNT) == KERN_SUCCESS;
}

#else

inline std::int64_t now_ns() noexcept {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

class DeadlineSleeper {
   public:
    // The kernel may round a normal thread's wake-up by 50 us; ask for 1 ns.
    DeadlineSleeper() noexcept { prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); }

    void until(std::int64_t deadline_ns) noexcept {
        timespec due{};
        due.tv_sec = static_cast<time_t>(deadline_ns / 1'000'000'000);
        due.tv_nsec = static_cast<long>(deadline_ns % 1'000'000'000);
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, nullptr) == EINTR) {
        }
    }
};

inline bool request_realtime_priority() noexcept {
    sched_param parameters{};
    // Any FIFO thread precedes all normal ones; the dance runs at the lowest such priority, this above it.
    parameters.sched_priority = sched_get_priority_min(SCHED_FIFO) + 1;
    return pthread_setschedparam(pthread_self(), SCHED_FIFO, &parameters) == 0;
}

#endif

// The calling thread. Leaves all signals to the other threads: Ctrl-C belongs to the interpreter's.
inline void leave_signals_to_others() noexcept {
#if !defined(_WIN32)
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
#endif
}

}  // namespace bailando
