import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { explainCuda, probeCuda } from '../../src/runtime/cuda.js';
import { readDynamicSection } from '../../src/runtime/elf.js';
import { findLibrary } from '../../src/runtime/library-path.js';

describe.runIf(process.platform === 'linux')('what a library asks the loader for', () => {
  const library = findLibrary();

  it('is read from its dynamic section', async () => {
    const section = await readDynamicSection(library);
    expect(section?.needed).toContain('libc.so.6');
    for (const name of section!.needed) expect(name).toMatch(/^(lib|ld-)[\w.+-]+$/);
  });

  it('is undefined for a file that is no ELF library', async () => {
    expect(await readDynamicSection(new URL('cuda.test.ts', import.meta.url).pathname)).toBeUndefined();
  });

  describe('the CUDA probe', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'lowrank-cuda-'));
    const beside = path.join(folder, 'libonnxruntime.so.1'); // only its folder matters
    const provider = path.join(folder, 'libonnxruntime_providers_cuda.so');
    beforeAll(() => {
      copyFileSync(library, path.join(folder, 'libonnxruntime_providers_shared.so'));
    });
    afterAll(() => {
      rmSync(folder, { recursive: true });
    });

    it('names a provider library that is not beside libonnxruntime', async () => {
      const probe = await probeCuda(beside);
      expect(probe.missingProviders).toEqual(['libonnxruntime_providers_cuda.so']);
      const problem = explainCuda(probe);
      expect(problem?.fact).toBe(`libonnxruntime_providers_cuda.so not found in ${folder}`);
      expect(problem?.remedy).toContain('LOWRANK_ORT_LIB');
    });

    it('names each library that the provider needs and the loader does not find', async () => {
      // A real library that needs real libraries, one of them renamed to something no machine has.
      const bytes = readFileSync(library);
      const at = bytes.indexOf('\0libm.so.6\0');
      expect(at).toBeGreaterThan(0);
      bytes.write('libQ.so.6', at + 1);
      writeFileSync(provider, bytes);
      const probe = await probeCuda(beside);
      expect(probe.missingProviders).toEqual([]);
      expect(probe.missingLibraries).toEqual(['libQ.so.6']);
      expect(explainCuda(probe)?.fact).toContain('needs libQ.so.6, which the loader does not find');
    });

    it('finds nothing to complain about in a provider whose libraries are all there', async () => {
      copyFileSync(library, provider);
      const probe = await probeCuda(beside);
      expect(probe.missingLibraries).toEqual([]);
      if (probe.hasDriver) expect(explainCuda(probe)).toBeUndefined();
      else expect(explainCuda(probe)?.fact).toContain('libcuda.so.1');
    });

    it('calls a torn provider what it is', async () => {
      writeFileSync(provider, readFileSync(library).subarray(0, 40));
      expect((await probeCuda(beside)).missingLibraries).toEqual(['a valid libonnxruntime_providers_cuda.so']);
    });
  });
});
