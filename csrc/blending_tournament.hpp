// The dataset that is furthest behind, out of many, without looking at all of them in every step.
//
// A binary tree of matches: a node knows the winner of its half and the first step in which that winner might be
// another one. Between two draws each dataset falls behind along a straight line, so a match says itself how long its
// result will stand; what rounding could change is played again in every step. A draw replays the matches of one
// dataset only, and the winner is always found by the definition's own arithmetic: bit-equal, ties included.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

class Tournament {
public:
    Tournament(const std::vector<double>& weights, double last_step) : last_step_(last_step) {
        while (leaves_ < weights.size()) leaves_ *= 2;
        nodes_.resize(2 * leaves_, Node{0, kNever, kNever, 0});  // nobody stands where there is no dataset
        for (std::size_t i = 0; i < weights.size(); ++i) {
            nodes_[leaves_ + i] = Node{weights[i], 0, kNever, static_cast<std::uint32_t>(i)};
        }
        for (std::size_t node = leaves_ - 1; node > 0; --node) play(node, 1);
    }

    std::size_t furthest_behind(double step) {
        step_ = step;
        if (nodes_[1].stands_until <= step) refresh(1);
        winner_ = nodes_[1].dataset;
        return winner_;
    }
    std::int64_t draw() {
        Node& leaf = nodes_[leaves_ + winner_];
        const double sample = leaf.drawn;
        leaf.drawn += 1;
        replay();
        return static_cast<std::int64_t>(sample);
    }
    void retire() {
        nodes_[leaves_ + winner_] = Node{0, kNever, kNever, static_cast<std::uint32_t>(winner_)};
        replay();
    }

private:
    static constexpr double kNever = std::numeric_limits<double>::infinity();

    struct Node {  // two children of a node are one line of the cache
        double weight;
        double drawn;         // infinite: out
        double stands_until;  // the first step in which this half has to be looked at again
        std::uint32_t dataset;
    };

    void replay() {
        for (std::size_t node = (leaves_ + winner_) / 2; node > 0; node /= 2) play(node, step_);
    }

    void refresh(std::size_t node) {
        if (nodes_[2 * node].stands_until <= step_) refresh(2 * node);
        if (nodes_[2 * node + 1].stands_until <= step_) refresh(2 * node + 1);
        play(node, step_);
    }

    void play(std::size_t node, double step) {
        const Node& left = nodes_[2 * node];
        const Node& right = nodes_[2 * node + 1];
        const double left_behind = left.weight * step - left.drawn;
        const double right_behind = right.weight * step - right.drawn;
        const bool right_wins = right_behind > left_behind;
        const Node& winner = right_wins ? right : left;
        const Node& loser = right_wins ? left : right;
        const double until = std::min(std::min(left.stands_until, right.stands_until),
                                      stands_until(winner, loser, std::fabs(left_behind - right_behind), step));
        nodes_[node] = Node{winner.weight, winner.drawn, until, winner.dataset};
    }

    double stands_until(const Node& winner, const Node& loser, double lead, double step) const {
        if (loser.drawn == kNever) return kNever;
        const double catching_up = loser.weight - winner.weight;
        if (catching_up == 0 && loser.drawn == winner.drawn) return kNever;  // equal for ever
        // Each side is off by two roundings of 2^-53 of its terms at most, as is the lead, and the product below by
        // one: eight of them are more than all together.
        const double doubt = 0x1p-50 * ((winner.weight + loser.weight) * last_step_ + winner.drawn + loser.drawn + 1);
        if (!(lead > doubt)) return step + 1;
        if (catching_up <= 0) return kNever;
        const double steps = (lead - doubt) / catching_up * (1 - 0x1p-40);
        return steps < last_step_ ? step + std::floor(steps) + 1 : kNever;
    }

    double last_step_;
    double step_ = 1;
    std::size_t leaves_ = 1;
    std::size_t winner_ = 0;
    std::vector<Node> nodes_;
};
