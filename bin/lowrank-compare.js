#!/usr/bin/env node
import { main } from '../dist/src/cli/lowrank.js';
await main('compare', process.argv);
