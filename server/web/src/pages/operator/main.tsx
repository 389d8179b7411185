import { render } from 'preact';
import '../../styles/base.css';
import '../../styles/form.css';
import '../../styles/operator.css';
import { OperatorApp } from './operator-app';

const root = document.getElementById('app');
if (root !== null) render(<OperatorApp />, root);
