// oneTBB's parallel_pipeline on the four fused stages of src/workloads/fused.rs: the same numbers, the same sum.
//
// With an argument it says oneTBB's version. Else it answers each line "numbers filters threads tokens count" (numbers
// an item: 1 or 16; filters: 4, or 1 that does all) with "nanoseconds sum". Serial in order at both ends, parallel
// between. A number travels inside oneTBB's own token; a block of 16 as a pointer into a ring of as many blocks as there
// are tokens, which costs oneTBB no allocation: the slot of item i is free when item i - tokens has left the sink.

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_pipeline.h>
#include <oneapi/tbb/version.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <vector>

using tbb::filter_mode;
using tbb::flow_control;
using tbb::make_filter;

constexpr std::size_t BLOCK = 16;
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

int main(int arguments, char **) {
    if (arguments > 1) {
        std::cout << "oneTBB " << TBB_runtime_version() << std::endl;
        return 0;
    }
    std::size_t width, threads, tokens;
    std::uint64_t count;
    int filters;
    while (std::cin >> width >> filters >> threads >> tokens >> count) {
        tbb::global_control limit(tbb::global_control::max_allowed_parallelism, threads);
        auto start = std::chrono::steady_clock::now();
        auto sum = width == 1 ? numbers(filters, tokens, count) : blocks(filters, tokens, count);
        std::chrono::nanoseconds took = std::chrono::steady_clock::now() - start;
        std::cout << took.count() << ' ' << sum << std::endl;
    }
}
