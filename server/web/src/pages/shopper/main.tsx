import { render } from 'preact';
import '../../styles/base.css';
import '../../styles/form.css';
import '../../styles/call.css';
import '../../styles/chat.css';
import '../../styles/shopper.css';
import { ShopperApp } from './shopper-app';

const root = document.getElementById('app');
if (root !== null) render(<ShopperApp />, root);
