'use strict';

const form = document.getElementById('form');
const first = document.getElementById('first');
const second = document.getElementById('second');
const button = form.querySelector('button');
const outcome = document.getElementById('outcome');

// The token leaves the address bar, and with it the browser's history, before anything else happens.
const token = window.location.hash.slice(1);
window.history.replaceState(null, '', window.location.pathname);

function say(kind, text) {
  outcome.className = kind;
  outcome.textContent = text;
}

if (token === '') {
  form.hidden = true;
  say('wrong', '链接不完整, 请从邮件中重新打开。 / The link is not complete: open it again from the mail.');
}

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  if (first.value !== second.value) {
    say('wrong', '两次输入的密码不一致。 / The passwords differ.');
    second.focus();
    return;
  }
  button.disabled = true;
  say('', '...');
  try {
    const response = await fetch('/users/actions/reset-password', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ token: token, new_password: first.value }),
    });
    const answer = await response.json();
    if (response.ok) {
      form.hidden = true;
      say('good', '密码已修改, 请登录。 / The password is changed: sign in with it.');
      return;
    }
    say('wrong', answer.message);
  } catch {
    say('wrong', '无法连接服务器, 请重试。 / The server cannot be reached: try again.');
  }
  button.disabled = false;
});
