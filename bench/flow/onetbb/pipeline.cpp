// oneTBB's parallel_pipeline on the workloads of src/workloads/{fused,skew}.rs: the same numbers and the same sum, the
// same times.
//
// With an argument it says oneTBB's version. Else it answers each line with a line:
//   fused numbers filters threads tokens count                        -> nanoseconds sum
//   skew burnt|slept threads count start_ns stages, then their ns     -> nanoseconds
// `numbers` an item: 1 or 16; `filters`: 4, or 1 that does all. Fused is serial in order at both ends, parallel
// between. A number travels inside oneTBB's own token; a block of 16 as a pointer into a ring of as many blocks as
// there are tokens, which costs oneTBB no allocation: the slot of item i is free when item i - tokens has left the
// sink. In a skew, every stage is a parallel filter; `start_ns` is what each thread needs once in a run before it can
// do the last one.

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_pipeline.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/version.h>

#include <time.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

using tbb::filter_mode;
using tbb::flow_control;
using tbb::make_filter;

constexpr std::size_t BLOCK = 16;
// Of a skew: more than one, so that no thread waits for the source. 1, 2, 4 and 16 take the same time.
constexpr std::size_t TOKENS_A_THREAD = 4;
using Block = std::array<std::uint64_t, BLOCK>;

static std::uint64_t add(std::uint64_t number) { return number + 0x9e3779b97f4a7c15u; }
static std::uint64_t multiply(std::uint64_t number) { return number * 0xd1342543de82ef95u; }
static std::uint64_t mix(std::uint64_t number) { return number ^ 0x5555aaaa3333ccccu; }
static std::uint64_t turn(std::uint64_t number, int bits) { return (number << bits) | (number >> (64 - bits)); }
static std::uint64_t rotate(std::uint64_t number) { return turn(number, 17); }
static std::uint64_t fold(std::uint64_t sum, std::uint64_t number) { return turn(sum, 5) ^ number; }

template <typename Stage> static Block *each(Block *block, Stage stage) {
    for (auto &number : *block) number = stage(number);
    return block;
}

static std::uint64_t numbers(int filters, std::size_t tokens, std::uint64_t count) {
    using Number = std::uint64_t;
    Number next = 0, sum = 0;
    auto source = make_filter<void, Number>(filter_mode::serial_in_order, [&](flow_control &control) -> Number {
        if (next == count) control.stop();
        return next == count ? 0 : next++;
    });
    auto sink = make_filter<Number, void>(filter_mode::serial_in_order, [&](Number n) { sum = fold(sum, n); });
    auto stage = [](auto work) { return make_filter<Number, Number>(filter_mode::parallel, work); };
    auto all = [](Number n) { return rotate(mix(multiply(add(n)))); };
    if (filters == 1) tbb::parallel_pipeline(tokens, source & stage(all) & sink);
    else
        tbb::parallel_pipeline(tokens, source & stage([](Number n) { return add(n); }) &
                                           stage([](Number n) { return multiply(n); }) &
                                           stage([](Number n) { return mix(n); }) &
                                           stage([](Number n) { return rotate(n); }) & sink);
    return sum;
}

static std::uint64_t blocks(int filters, std::size_t tokens, std::uint64_t count) {
    std::vector<Block> ring(tokens);
    std::uint64_t next = 0, sum = 0;
    auto source = make_filter<void, Block *>(filter_mode::serial_in_order, [&](flow_control &control) -> Block * {
        if (next == count) {
            control.stop();
            return nullptr;
        }
        Block *block = &ring[next % tokens];
        for (std::size_t place = 0; place < BLOCK; place++) (*block)[place] = next * BLOCK + place;
        next++;
        return block;
    });
    auto sink = make_filter<Block *, void>(filter_mode::serial_in_order, [&](Block *block) {
        for (auto number : *block) sum = fold(sum, number);
    });
    auto stage = [](auto work) {
        return make_filter<Block *, Block *>(filter_mode::parallel, [work](Block *block) { return work(block); });
    };
    auto all = [](Block *block) { return each(each(each(each(block, add), multiply), mix), rotate); };
    if (filters == 1) tbb::parallel_pipeline(tokens, source & stage(all) & sink);
    else
        tbb::parallel_pipeline(tokens, source & stage([](Block *block) { return each(block, add); }) &
                                           stage([](Block *block) { return each(block, multiply); }) &
                                           stage([](Block *block) { return each(block, mix); }) &
                                           stage([](Block *block) { return each(block, rotate); }) & sink);
    return sum;
}

using std::chrono::nanoseconds;

static nanoseconds cpu_of_thread() {
    timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + nanoseconds(time.tv_nsec);
}

// As src/clock.rs does it: until this thread has had so much more of a core.
static void burn(nanoseconds time) {
    auto end = cpu_of_thread() + time;
    volatile std::uint64_t state = 1;
    while (cpu_of_thread() < end)
        for (int round = 0; round < 4000; round++) state = state * 6364136223846793005u + 1;
}

struct Skew {
    bool is_burnt;
    std::size_t threads;
    std::uint64_t count;
    nanoseconds start;
    std::vector<nanoseconds> stages;
};

static void skew(const Skew &shape) {
    static std::uint64_t runs = 0;
    auto run = ++runs;
    auto spend = [&](nanoseconds time) { shape.is_burnt ? burn(time) : std::this_thread::sleep_for(time); };
    auto work = [&, run](std::size_t stage) {
        static thread_local std::uint64_t started = 0;
        if (stage + 1 == shape.stages.size() && started != run) {
            started = run;
            spend(shape.start);
        }
        spend(shape.stages[stage]);
    };
    std::uint64_t next = 0;
    using Number = std::uint64_t;
    auto chain = make_filter<void, Number>(filter_mode::serial_in_order, [&](flow_control &control) -> Number {
        if (next == shape.count) control.stop();
        return next == shape.count ? 0 : next++;
    });
    for (std::size_t stage = 0; stage < shape.stages.size(); stage++)
        chain = chain & make_filter<Number, Number>(filter_mode::parallel, [&work, stage](Number number) {
                    work(stage);
                    return number;
                });
    auto sink = make_filter<Number, void>(filter_mode::parallel, [](Number) {});
    // An arena of its own: the default one has no more threads than the machine has cores.
    tbb::task_arena arena(static_cast<int>(shape.threads));
    arena.execute([&] { tbb::parallel_pipeline(TOKENS_A_THREAD * shape.threads, chain & sink); });
}

template <typename Work> static nanoseconds timed(std::size_t threads, Work work) {
    tbb::global_control limit(tbb::global_control::max_allowed_parallelism, threads);
    auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::steady_clock::now() - start;
}

static void answer_fused() {
    std::size_t width, threads, tokens;
    std::uint64_t count, sum = 0;
    int filters;
    std::cin >> width >> filters >> threads >> tokens >> count;
    auto took = timed(threads, [&] {
        sum = width == 1 ? numbers(filters, tokens, count) : blocks(filters, tokens, count);
    });
    std::cout << took.count() << ' ' << sum << std::endl;
}

static void answer_skew() {
    Skew shape;
    std::string way;
    std::uint64_t start, stages, stage;
    std::cin >> way >> shape.threads >> shape.count >> start >> stages;
    shape.is_burnt = way == "burnt";
    shape.start = nanoseconds(start);
    for (; stages > 0 && std::cin >> stage; stages--) shape.stages.emplace_back(stage);
    std::cout << timed(shape.threads, [&] { skew(shape); }).count() << std::endl;
}

int main(int arguments, char **) {
    if (arguments > 1) {
        std::cout << "oneTBB " << TBB_runtime_version() << std::endl;
        return 0;
    }
    std::string workload;
    while (std::cin >> workload) workload == "skew" ? answer_skew() : answer_fused();
}
