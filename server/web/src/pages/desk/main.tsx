import { render } from 'preact';
import '../../styles/base.css';
import '../../styles/form.css';
import '../../styles/call.css';
import '../../styles/chat.css';
import '../../styles/desk.css';
import { DeskApp } from './desk-app';

const root = document.getElementById('app');
if (root !== null) render(<DeskApp />, root);
