#!/usr/bin/env python3
"""Write wide.json from dev.json: the same contracts and accounts, another chain id, and `wide`
commitment with a lag of four blocks.

usage: make_wide.py < dev.json > wide.json
"""
import sys

COMMITMENT = '"commitment": {"kind": "wide", "lag": 4}'


def main():
    for line in sys.stdin:
        if line.startswith('"config": {"chainId": 901,'):
            line = line.replace('{"chainId": 901,', '{"chainId": 902, %s,' % COMMITMENT)
        sys.stdout.write(line)


if __name__ == "__main__":
    main()
