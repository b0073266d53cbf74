import { describeTensorFlow } from './support/check-tensorflow.js';

describeTensorFlow('@tensorflow/tfjs-backend-wasm');
