import type { DoctorReport } from '../contracts/doctor.js';
import { type Terminal, type Paint, paint } from '../report/terminal.js';
import { pad, printable, wrap } from '../report/text.js';
import { diagnose, type Diagnosis } from '../runtime/diagnose.js';
import { defineCommand } from './command.js';
import { tool } from '../version.js';

const COLOURS: Readonly<Record<Diagnosis['status'], Paint>> = { ok: 'green', warning: 'yellow', missing: 'red' };

/** The fact, and below it the remedy. */
function linesOf(diagnosis: Diagnosis, nameWidth: number, terminal: Terminal): readonly string[] {
  const { status, name, fact, remedy } = diagnosis;
  const statusWidth = 'missing'.length;
  const indent = statusWidth + 2 + nameWidth + 2;
  const width = Math.max(20, (terminal.columns ?? Infinity) - indent);
  const facts = wrap(printable(fact), width);
  const remedies = remedy === undefined ? [] : wrap(printable(`-> ${remedy}`), width);
  const start = `${paint(terminal, COLOURS[status], pad(status, statusWidth))}  ${pad(printable(name), nameWidth)}  `;
  return [...facts, ...remedies].map((line, index) => (index === 0 ? start : ' '.repeat(indent)) + line);
}

/** What it needs is loaded only where there is CUDA: without it doctor answers at once. */
async function trainingOnCuda(): Promise<Diagnosis> {
  const { create } = await import('../../models/index.js');
  const { modelBytes } = await import('../graph/write.js');
  const { loadDriver } = await import('../runtime/driver.js');
  const { diagnoseTraining } = await import('../training/device-step.js');
  return diagnoseTraining(modelBytes(create('resnet8_cifar')), await loadDriver(), 'cuda');
}

export const command = defineCommand({
  name: 'doctor',
  summary: 'show what this machine has, and how to get what is missing',
  arguments: {},
  options: {},
  examples: [
    { command: 'lowrank doctor', description: 'what works here, and what to do about the rest' },
    { command: 'lowrank doctor --json', description: 'the same for a program' },
  ],
  async run() {
    const diagnoses = await diagnose();
    const cuda = diagnoses.find(({ name }) => name === 'CUDA');
    if (cuda !== undefined && cuda.status !== 'missing') diagnoses.push(await trainingOnCuda());
    const report: DoctorReport = {
      schema: 'lowrank.doctor/1',
      tool: { name: 'lowrank', version: tool.version },
      diagnoses,
    };
    // Without a GPU everything works, only slower; without onnxruntime nothing does.
    const isUsable = diagnoses.some(({ name, status }) => name === 'onnxruntime' && status !== 'missing');
    return {
      document: report,
      text(terminal) {
        const nameWidth = Math.max(...diagnoses.map(({ name }) => name.length));
        return `${diagnoses.flatMap((diagnosis) => linesOf(diagnosis, nameWidth, terminal)).join('\n')}\n`;
      },
      exitCode: isUsable ? 0 : 1,
    };
  },
});
