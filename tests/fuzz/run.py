"""Feed damaged and hostile files to each parser, and see that it refuses them in one line, soon, and in little memory.

    python tests/fuzz/run.py [--seconds S] [--seed N] [PARSER ...]      all parsers by default, S seconds each
    python tests/fuzz/run.py --seed N --only I PARSER                   one input again, in this process

Failing inputs are kept in the folder `--out`, and named with seed and number, which make them again. Exit code 1 if
there were any. Parsers run in processes of their own, since a library in C that stumbles takes its process with it.
"""

import argparse
import json
import sys
import time

import driver


def only(parser: str, seed: int, i: int) -> int:
    """One input, in this process."""
    fuzzer, files = driver.prepare(parser)
    source = driver.generator(parser, seed, i)
    data = driver.make(fuzzer, source, files)
    print(f"{len(data)} bytes: {data[:200]!r}{'...' * (len(data) > 200)}")
    at = time.perf_counter()
    outcome, wrong = driver.judge(fuzzer, data, source)
    print(f"{outcome}; {time.perf_counter() - at:.3f} s; {'wrong: ' + wrong if wrong else 'as it should be'}")
    return int(wrong is not None)


def main() -> int:
    """Run the fuzzers from the command line."""
    if sys.argv[1:2] == ["--child"]:
        driver.child(*json.loads(sys.argv[2]))
        return 0
    parser = argparse.ArgumentParser(description="Feed damaged files to the parsers.")
    parser.add_argument("parsers", nargs="*", metavar="PARSER", help=", ".join(driver.PARSERS))
    parser.add_argument("--seconds", type=float, default=30.0, help="for each parser")
    parser.add_argument("--inputs", type=int, default=1 << 60, help="for each parser, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0, help="number of the first input")
    parser.add_argument("--only", type=int, metavar="I", help="this input alone")
    parser.add_argument("--out", default="fuzz-failures", help="folder for failing inputs; default: %(default)s")
    args = parser.parse_args()
    if unknown := set(args.parsers) - set(driver.PARSERS):
        parser.error(f"expected parsers among {', '.join(driver.PARSERS)}, got {', '.join(sorted(unknown))}")
    names = args.parsers or list(driver.PARSERS)
    if args.only is not None:
        return max(only(name, args.seed, args.only) for name in names)
    print(f"{'parser':12} {'inputs':>8} {'inputs/s':>9} {'read':>7} {'distinct':>9} {'slowest':>9} {'growth':>9} wrong")
    failed = 0
    for name in names:
        found = driver.fuzz(name, args.seed, args.start, args.seconds, args.inputs, args.out)
        count = sum(found["outcomes"].values())
        errors = [outcome for outcome in found["outcomes"] if ": " in outcome]
        print(f"{name:12} {count:8} {count / max(found['seconds'], 1e-9):9.0f} {found['outcomes'].get('read', 0):7} "
              f"{len(errors):9} {found['slowest'][0]:7.2f} s {found['largest'][0] / 1024:5.1f} MiB "
              f"{len(found['wrongs'])}", flush=True)
        seen = set()
        for i, wrong, path in found["wrongs"]:
            if driver.shape_of(wrong) not in seen:
                seen.add(driver.shape_of(wrong))
                print(f"  {wrong}\n    {path}; again: python tests/fuzz/run.py --seed {args.seed} --only {i} {name}")
        failed += len(found["wrongs"])
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
